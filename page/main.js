// Nothing yet.
// It comes.
