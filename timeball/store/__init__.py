"""Where tasks are kept: Redis, in keys of our own, changed only by the Lua moves in `lua/`."""
