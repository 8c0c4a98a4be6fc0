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

/// <summary>The same where all sandboxes are made within one container.</summary>
[Collection("containers")]
public sealed class InnerNodeContractTests(NodeFixture fixture) : NodeContract
{
    protected override INode Node => fixture.Node;

    protected override SandboxSpec Sandbox => fixture.PlainInner;
}
