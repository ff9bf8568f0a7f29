//! Floor 3: how CLIF is written, knowing expressions and runtime layouts but no operators.
