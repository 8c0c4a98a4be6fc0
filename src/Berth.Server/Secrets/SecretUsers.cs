using Berth.Server.Functions;
using Berth.Server.Triggers;

namespace Berth.Server.Secrets;

/// <summary>What uses a secret, in words that a sentence can list.</summary>
internal sealed class SecretUsers(FunctionManager functions, TriggerManager triggers)
{
    /// <summary>Triggers whose senders sign with it, and functions of which a revision that is kept names it, since
    /// calls can be led back to that.</summary>
    public IReadOnlyList<string> Of(string name) =>
    [
        .. functions.All
            .Where(e => e.Record.Revisions.Any(r => r.Spec.Run.Secrets?.Any(s => s.Secret == name) == true))
            .Select(e => $"function {e.Record.Name}"),
        .. triggers.All.Where(e => e.Record.Webhook?.Secret == name).Select(e => $"trigger {e.Record.Name}"),
    ];
}
