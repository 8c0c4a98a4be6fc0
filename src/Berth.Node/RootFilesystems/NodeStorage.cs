using Berth.Core.Errors;

namespace Berth.Node.RootFilesystems;

/// <summary>Where a node keeps what outlasts sandboxes.</summary>
/// <param name="folder">Null where it keeps nothing.</param>
internal sealed class NodeStorage(string? folder)
{
    /// <summary>A folder for each named volume.</summary>
    public string Volumes => Folder + "/volumes";

    private string Folder => folder ?? throw new BerthException(
        ErrorCode.InvalidRequest, "This node has no storage for containers and volumes.");

    /// <summary>The file of a container's writable layer.</summary>
    public string LayerOf(string id) => $"{Folder}/containers/{id}.ext4";
}
