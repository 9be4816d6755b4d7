"""What happens to a slice before a network sees it, in MONAI's way: array and dictionary forms."""
