using Berth.Api.Nodes;
using Berth.Core.Secrets;

namespace Berth.Server.Secrets;

/// <summary>What a program that starts now gets of secrets. Lives no longer than its start.</summary>
internal sealed record SecretValues(
    IReadOnlyDictionary<string, string> Variables, IReadOnlyList<SandboxFile> Files)
{
    public static SecretValues None { get; } = new(new Dictionary<string, string>(), []);

    /// <summary>Null where there are no files.</summary>
    /// <param name="user">Who reads them; null for the image's own.</param>
    public SandboxExtras? Extras(string? user) => Files.Count == 0
        ? null
        : new SandboxExtras(null, false, [new SandboxMount.Files(SecretUse.Folder, Files, user)], null);
}
