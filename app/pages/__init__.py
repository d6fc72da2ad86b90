"""The pages: what people look at. Server-rendered from the board; script only makes them better."""
