package tlog

import "time"

// ParsePolicy reads a tlog-policy, strictly (duplicate keys, a member of two
// groups, forward references, several quorum lines are refused, with the line).
func ParsePolicy(b []byte) (*Policy, error) { return nil, errTODO }

// Marshal writes the policy so that ParsePolicy reads it back.
func (p *Policy) Marshal() []byte { return nil }

// Validate checks what ParsePolicy checks, for a policy made in memory.
func (p *Policy) Validate() error { return errTODO }

// Result says how a checkpoint met a policy.
type Result struct {
	Log       Verifier
	Witnesses []Witnessed // with a valid cosignature
	Missing   []string    // names of witnesses without one
}

// Witnessed is a valid cosignature.
type Witnessed struct {
	Name string
	Key  Verifier
	Time time.Time
}

// Check verifies the log's signature and the cosignatures on c. The error
// names what is missing; a signature of a known key that does not verify is
// always an error.
func (p *Policy) Check(c *SignedCheckpoint) (Result, error) { return Result{}, errTODO }
