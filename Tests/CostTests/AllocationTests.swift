import Testing

@testable import PosternBench

@Suite struct AllocationTests {
}
