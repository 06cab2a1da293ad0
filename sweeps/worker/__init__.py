"""One trial, where it trains: around the user's function, its reports and its time-outs."""
