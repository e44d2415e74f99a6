"""The Models page and a model's sheet in parts: each part hears its own events and sends what its tab shows."""
