"""The resources as the API server knows them: types, defaults, rules and names."""
