"""Running a graph on a device: providers, sessions, clocks and the identity of the device."""
