"""What only the owner's worker may read: values sealed with a key that is not in the database, and what hides them."""
