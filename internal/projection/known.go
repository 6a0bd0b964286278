package projection

import (
	"bytes"
	"sync"

	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// known remembers the keys of a log's entries. An entry ends with its key,
// which has one way to be written; reading it, and the whole entry as JSON, is
// what can be spared where the envelope gives the same entry again.
type known struct {
	mu   sync.RWMutex
	keys map[string]*key.Verifier // by the end of an entry
}

// maxKnown bounds how many keys are remembered; a hostile log has any number.
const maxKnown = 64

// keyMark begins the end of an entry.
var keyMark = []byte(`"publicKey":{"rawBytes":"`)

// parse is parse, but takes an entry that ends with a known key for a statement's
// without reading it: the fact is loose.
func (k *known) parse(index int64, raw []byte) fact {
	at := bytes.LastIndex(raw[:min(len(raw), statement.MaxLeaf)], keyMark)
	if at < 0 || len(raw) > statement.MaxLeaf {
		return parse(index, raw)
	}
	k.mu.RLock()
	have, ok := k.keys[string(raw[at:])]
	k.mu.RUnlock()
	if ok {
		return fact{
			index: index, kind: Statement, loose: true, leafHash: tlog.LeafHash(raw), raw: raw,
			signer: have, key: have.ID(),
		}
	}
	f := parse(index, raw)
	if f.kind == Statement {
		k.mu.Lock()
		if k.keys == nil || len(k.keys) >= maxKnown {
			k.keys = map[string]*key.Verifier{}
		}
		k.keys[string(raw[at:])] = f.signer
		k.mu.Unlock()
	}
	return f
}

// tighten reads a loose entry that no envelope has shown to be a statement's.
func (e *fact) tighten() {
	if !e.loose || !e.envelope.IsZero() {
		return
	}
	if f := parse(e.index, e.raw); f.kind != Statement {
		*e = f
	}
}
