"""A bookshop that counts and times what its visitors do."""
