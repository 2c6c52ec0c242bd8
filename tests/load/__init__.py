"""Load by Locust: many users for a while, a spike, and ten thousand jobs in a minute."""
