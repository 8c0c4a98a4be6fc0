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

/// <summary>And where a sandbox has one call after the other.</summary>
[Collection("containers")]
public sealed class ReusedNodeContractTests(NodeFixture fixture) : ProgramContract
{
    protected override INode Node => fixture.Node;

    protected override SandboxSpec Sandbox => fixture.PlainInner with { Family = "reused", Reuse = 1 };
}

/// <summary>And where it has several at once.</summary>
[Collection("containers")]
public sealed class SharedNodeContractTests(NodeFixture fixture) : ProgramContract
{
    protected override INode Node => fixture.Node;

    protected override SandboxSpec Sandbox => fixture.PlainInner with { Family = "shared", Reuse = 3 };
}
