"""What ``make check`` looks at: configuration, data set, settings that fail or spoil a run."""
