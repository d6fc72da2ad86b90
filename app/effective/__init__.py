"""What changes an answer: a record does at once, and time alone when something comes due."""
