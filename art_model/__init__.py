"""ART: the model that draws all layers of a design in one pass, from one prompt and boxes without captions."""
