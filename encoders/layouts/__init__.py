"""The layouts that models are published in; one module a layout, each reads settings alone."""
