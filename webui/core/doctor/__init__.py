"""The doctor: examines a model over an ordinary engine process, so that what is measured is what is served."""
