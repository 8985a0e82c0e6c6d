"""The parent process: owns the control block, the listening sockets and the children's lives."""
