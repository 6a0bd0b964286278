package artifact

import "errors"

// errCode says that an executable could not be read as one.
var errCode = errors.New("not an executable that is read here")

// code compares two executables.
func (s *session) code(p place, a, b blob) (outcome, error) {
	return s.bytes(p, a, b), s.ctx.Err()
}
