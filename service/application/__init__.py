"""What the service does, in terms of the domain and of ports; it knows no protocol, no disk and no tensor library."""
