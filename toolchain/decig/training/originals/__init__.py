"""`decig train`: originals trained from data, condensed on the way where that is asked for."""
