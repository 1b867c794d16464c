// This floor is furnished in the next commits.
