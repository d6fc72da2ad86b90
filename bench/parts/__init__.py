"""What is measured: each part is a function that gives its findings as they come."""
