"""Questions to people: asked by a step, answered on a page or by the API, with a deadline; waiting holds no worker."""
