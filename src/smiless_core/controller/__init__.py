"""The live loop: a policy and a platform, and a clock."""
