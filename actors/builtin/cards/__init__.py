"""Title cards: themes, type setting and drawing with Pillow, the same picture for the same words."""
