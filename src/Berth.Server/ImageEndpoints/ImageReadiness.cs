using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Registry;
using Berth.Server.Configuration;

namespace Berth.Server.ImageEndpoints;

/// <summary>
/// Has sandboxes of a new image prepared before anybody calls it, in the shape that a call without options asks for.
/// </summary>
internal sealed class ImageReadiness(INode node, ServerOptions options) : IManifestObserver
{
    public void Expect(Digest image) => node.Expect(new SandboxSpec(image, options.DefaultLimits, NetworkMode.None));

    public Task OnManifestAsync(string repository, Digest digest, string mediaType, CancellationToken cancellationToken)
    {
        Expect(digest);
        return Task.CompletedTask;
    }
}
