"""Networks that judge pictures, which the user gives as files: features, distances, labels.

decig brings no such weights and downloads none. What every file has in common stands in
`decig.deploy.judges.network_file`.
"""
