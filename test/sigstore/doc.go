// Package sigstore tests what package proof exports with Sigstore's own
// library. It is a module of its own so that nobody else needs that library.
package sigstore
