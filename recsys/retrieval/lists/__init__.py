"""What answers questions about lists: encoders, and sources that continue."""
