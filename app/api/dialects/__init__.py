"""One file a wire format, each a pair of pure functions: body to Query, Ranking to body."""
