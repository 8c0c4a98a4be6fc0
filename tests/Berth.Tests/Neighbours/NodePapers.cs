using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Berth.Node.Links;
using Berth.Server.Nodes;
using Berth.Testing.Content;

namespace Berth.Tests.Neighbours;

/// <summary>An authority, and the certificates of nodes that it signed.</summary>
internal sealed class NodePapers : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly NodeAuthority authority;
    private readonly List<NodeIdentity> made = [];

    public NodePapers() => authority = NodeAuthority.LoadOrCreate(folder["authority.pem"], TimeProvider.System);

    public X509Certificate2 Authority => Of("reader").Authority;

    public NodeIdentity Of(string name)
    {
        (ECDsa key, string request) = NodeIdentity.NewRequest(name);
        using (key)
        using (X509Certificate2 certificate = authority.Issue(request, name))
        {
            string own = Directory.CreateDirectory(folder[$"{name}-{made.Count}"]).FullName;
            made.Add(NodeIdentity.Save(own, key, certificate.ExportCertificatePem(), authority.Certificate));
            return made[^1];
        }
    }

    public void Dispose()
    {
        made.ForEach(identity => identity.Dispose());
        authority.Dispose();
        folder.Dispose();
    }
}
