// Package farm decides who builds what again, and when: a durable queue of
// releases, leases on them, and the answers of the workers.
//
// [Queue] is the queue, in a database that several nodes of one organisation may
// share. [Server] offers it to workers over mutually authenticated HTTP, and
// [Worker] is such a worker; a node has one of its own. A node asks for rebuilds
// with [Queue.Add] and says what came of them ([Queue.Decided], [Queue.Draft],
// [Queue.Said]).
//
// Promises. An order that was added is never lost: a lease that is not renewed
// ends, and the order goes to somebody else. Each lease has an epoch, counted up;
// whoever comes with an older one is told [ErrLost] and changes nothing, however
// late it comes. Every attempt is kept and said. What is said of an order is
// signed once: the first signed statement stays, and whoever meant to say
// something else says that. Not promised: that an order is built only once; two
// workers may be at it where one was thought dead.
package farm

import (
	"errors"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// Bounds.
const (
	MaxOrder  = 24 << 20 // bytes of an order's JSON
	MaxReport = 8 << 20  // bytes of an explanation
	MaxLog    = 64 << 20 // bytes of one attempt's log
	MaxChunk  = 1 << 20  // bytes of a log that are given at once
	MaxResult = 2 << 20  // bytes of a result's and of an attempt's JSON
	MaxWorker = 128      // bytes of a worker's name
)

// How often an order is tried.
const (
	// TriesTroubled is for reasons that may pass: a worker that was lost, an
	// input that could not be had, no sandbox.
	TriesTroubled = 6
	// TriesFailed is for everything else that is not the shipped bytes: a second
	// attempt shows whether the build is flaky.
	TriesFailed = 2
)

// Errors that callers tell apart.
var (
	// ErrLost says that a lease is no longer the holder's: it ended, or the order
	// was given up. The holder stops and forgets the order.
	ErrLost = errors.New("the lease is lost")
	// ErrRefused says that what a worker gave cannot be taken, now or later.
	ErrRefused = errors.New("refused")
	// ErrUnknown says that there is no such order.
	ErrUnknown = errors.New("no such rebuild")
	// ErrState says that an order is not in the state that is asked for.
	ErrState = errors.New("the rebuild is not in that state")
)

// State is how far an order is.
type State int64

// The states, as the table has them.
const (
	Waiting State = iota
	Leased
	Decided // and perhaps signed
	Said    // in the log
	GivenUp // by an operator
)

var stateWords = [...]string{"waiting", "building", "decided", "published", "cancelled"}

// String says the state to people.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateWords) {
		return "unknown"
	}
	return stateWords[s]
}

// Queue is safe for use by several goroutines, processes and nodes.
type Queue struct {
	DB    *store.DB
	Lease time.Duration // how long one lasts; see [DefaultLease]
	Now   func() time.Time
}

// DefaultLease is how long a worker may be silent.
const DefaultLease = time.Minute

// Ask is what a node wants built.
type Ask struct {
	Node     string // origin of the node that says the outcome
	Origin   string // of the log that has the release
	Product  string
	Version  string
	Priority int64
	Order    rebuild.Order
	Again    bool // though it was built already: a further run
	// Refused, where not empty, says why nothing can be built; the order is then
	// decided at once.
	Refused statement.Reason
	Detail  string
}

// Row is an order as it stands.
type Row struct {
	ID       int64             `json:"id"`
	Node     string            `json:"node"`
	Release  digest.Digest     `json:"release"`
	Origin   string            `json:"origin"`
	Product  string            `json:"product"`
	Version  string            `json:"version"`
	Run      int64             `json:"run"`
	Priority int64             `json:"priority"`
	State    State             `json:"state"`
	Ready    time.Time         `json:"ready,omitzero"`
	Tries    int64             `json:"tries"`
	Epoch    int64             `json:"epoch"`
	Worker   string            `json:"worker,omitzero"`
	Until    time.Time         `json:"until,omitzero"`
	Progress Progress          `json:"progress,omitzero"`
	Started  time.Time         `json:"started,omitzero"`
	LogSize  int64             `json:"logSize"`
	Outcome  statement.Outcome `json:"outcome,omitzero"`
	Index    int64             `json:"index"` // of what is said, in the node's log; -1 before
	Added    time.Time         `json:"added"`
	Changed  time.Time         `json:"changed"`
}

// Progress is what a worker does.
type Progress struct {
	Stage string `json:"stage"` // one of package rebuild's
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // -1: not known
}

// Held is a lease.
type Held struct {
	ID    int64         `json:"id"`
	Epoch int64         `json:"epoch"`
	Until time.Time     `json:"until"` // by the node's clock
	Lasts int64         `json:"lasts"` // milliseconds from the taking, by any clock
	Order rebuild.Order `json:"order"`
}

// Answer is what a worker says at the end of a lease.
type Answer struct {
	Attempt rebuild.Attempt `json:"attempt"`
	Result  rebuild.Result  `json:"result"` // where the attempt made all outputs
	Report  []byte          `json:"report,omitzero"`
}

// Tried is an attempt of an order.
type Tried struct {
	N       int64             `json:"n"`
	Epoch   int64             `json:"epoch"`
	Worker  string            `json:"worker"`
	Outcome statement.Outcome `json:"outcome"`
	LogSize int64             `json:"logSize"`
	Attempt rebuild.Attempt   `json:"attempt"`
}

// Outcome is an order that is decided, with all that is to be said.
type Outcome struct {
	Row
	Order    rebuild.Order
	Tried    []Tried
	Result   *rebuild.Result // of the last attempt; nil where it made nothing
	Envelope []byte          // what is said already; nil: nothing
}
