"""What a request passes before it reaches a route: the gate, sign-in, limits, headers; and the files of `/static`."""
