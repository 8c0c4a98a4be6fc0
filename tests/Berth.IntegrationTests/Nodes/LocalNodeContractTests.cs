using Berth.Api.Nodes;
using Berth.Testing.Nodes;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

[Collection("containers")]
public sealed class LocalNodeContractTests(NodeFixture fixture) : NodeContract
{
    protected override INode Node => fixture.Node;

    protected override SandboxSpec Sandbox => fixture.Plain;
}
