"""Finding crossings: by spelling, by place, by what passes there."""
