package ledger

import (
	"container/list"
	"sync"
)

const (
	maxCachedTiles   = 1024 // at most 16 KiB each
	maxCachedBundles = 64   // gzipped
	maxCachedBundle  = 1 << 20
)

// lru keeps the values used last. A nil lru keeps nothing.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	order *list.List // of pair, newest first
	byKey map[K]*list.Element
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: limit, order: list.New(), byKey: make(map[K]*list.Element)}
}

// get returns the zero value where there is none.
func (c *lru[K, V]) get(k K) (v V) {
	if c == nil {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[k]
	if !ok {
		return v
	}
	c.order.MoveToFront(e)
	return e.Value.(pair[K, V]).value
}

func (c *lru[K, V]) put(k K, v V) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[k]; ok {
		e.Value = pair[K, V]{k, v}
		c.order.MoveToFront(e)
		return
	}
	c.byKey[k] = c.order.PushFront(pair[K, V]{k, v})
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.byKey, oldest.Value.(pair[K, V]).key)
	}
}

type tileKey struct {
	level int
	index int64
}

// tileCache holds tiles of the published log, which never change but for
// growing on the right edge.
type tileCache = lru[tileKey, *expanded]

func newTileCache(n int) *tileCache { return newLRU[tileKey, *expanded](n) }

// bundleCache holds full entry bundles as they go over the wire.
type bundleCache = lru[int64, []byte]

func newBundleCache(n int) *bundleCache { return newLRU[int64, []byte](n) }
