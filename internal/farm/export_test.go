package farm

import (
	"crypto/tls"

	"vitrine.example/digest"
)

// ClientTLS is how a worker connects, for tests that say more than a worker would.
func ClientTLS(i *Identity, server digest.Digest) *tls.Config { return i.clientTLS(server) }

// Dir is where the cache keeps its files.
func (c *Cache) Dir() string { return c.dir }

// Gates is how many contents somebody is at.
func (c *Cache) Gates() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.gate)
}
