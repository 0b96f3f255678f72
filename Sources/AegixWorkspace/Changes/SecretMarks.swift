// Pure. Changes that carry a secret of their run.

import AegixSystem

extension ChangeList {
    /// Files were looked through when they were digested; here their names and where links point.
    public mutating func markSecrets(_ redactor: Redactor?) {
        guard let redactor else { return }
        for index in changes.indices {
            guard let after = changes[index].after else { continue }
            if after.holdsSecret || after.target.map(redactor.finds) == true || redactor.finds(in: changes[index].path)
            {
                changes[index].flags.insert(.secret)
            }
        }
    }
}
