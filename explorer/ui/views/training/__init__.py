"""What a training shows, for every page that follows one."""
