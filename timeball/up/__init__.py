"""`timeball up`: the whole product as one command, supervised by one parent process."""
