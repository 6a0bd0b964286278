package witness

import (
	"crypto/sha256"
	"sync"
)

// rowCache remembers rows as they were when a log was cosigned last.
type rowCache struct {
	mu   sync.Mutex
	rows map[[sha256.Size]byte]*row
}

const maxCachedRows = 16384

// get returns a row that must not be changed, or nil.
func (c *rowCache) get(h [sha256.Size]byte) *row {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rows[h]
}

func (c *rowCache) put(r *row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil || len(c.rows) >= maxCachedRows {
		c.rows = map[[sha256.Size]byte]*row{}
	}
	c.rows[r.hash] = r
}
