"""JSON that comes in (`requests`) and goes out (`responses`) over HTTP, made of the types in `fields`."""
